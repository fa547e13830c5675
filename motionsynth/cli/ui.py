"""``motionsynth ui``: runs compared in the MLflow UI."""

from __future__ import annotations

from typing import Annotated

import typer

from motionsynth.cli.terminal import echo

__all__ = ["ui"]


def ui(
    port: Annotated[int, typer.Option(help="Port on this machine; the next free one where it is taken.")] = 5000,
    host: Annotated[
        str, typer.Option(help="Address of this machine to listen on: 0.0.0.0 lets others in, who may change anything.")
    ] = "127.0.0.1",
    open_browser: Annotated[bool, typer.Option("--open/--no-open", help="Open the address in the browser.")] = False,
) -> None:
    """Start the MLflow UI on the store that training writes to, and print its address.

    The store is `mlflow.db` in the working folder, or what MLFLOW_TRACKING_URI names. Stop it with Ctrl-C.
    """
    from motionsynth.tracking.ui import is_loopback, start_ui

    if not is_loopback(host):
        reason = "whoever reaches this machine can read, change and delete the runs, as MLflow asks for no password"
        echo(f"warning: --host {host}: {reason}", fg="yellow", err=True)
    server = start_ui(port, host=host)
    echo(server.address)
    if open_browser:
        import webbrowser

        webbrowser.open(server.address)
    raise typer.Exit(server.wait())
