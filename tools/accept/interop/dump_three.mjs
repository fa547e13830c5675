// World joint positions as three.js' BVHLoader places them: node dump_three.mjs OUT.json FILE.bvh...
import { readFileSync, writeFileSync } from 'node:fs';
import { AnimationMixer, Vector3 } from 'three';
import { BVHLoader } from 'three/examples/jsm/loaders/BVHLoader.js';

const [out, ...files] = process.argv.slice(2);
const positions = {};
for (const file of files) {
  const text = readFileSync(file, 'utf8');
  const { skeleton, clip } = new BVHLoader().parse(text);
  const root = skeleton.bones[0];
  const mixer = new AnimationMixer(root);
  mixer.clipAction(clip).play();
  const bones = skeleton.bones.filter((bone) => bone.name !== 'ENDSITE');
  const times = clip.tracks[0].times;
  positions[file] = Array.from(times, (time, frame) => {
    // the last key is also the loop's end, where the mixer wraps round to the first
    mixer.setTime(frame === times.length - 1 ? time * (1 - 1e-9) : time);
    root.updateMatrixWorld(true);
    return bones.map((bone) => bone.getWorldPosition(new Vector3()).toArray());
  });
}
writeFileSync(out, JSON.stringify(positions));
