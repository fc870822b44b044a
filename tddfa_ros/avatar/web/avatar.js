// Show an avatar: all faces of an image arrive as JSON over a web socket (see tddfa_ros/avatar/jsonl.py).
// URL parameters: ?mirror=0 disables mirroring, ?id=f2 shows one face only.
import * as THREE from "three";
import { GLTFLoader } from "three/addons/loaders/GLTFLoader.js";

const options = new URLSearchParams(location.search);
const mirror = options.get("mirror") !== "0";
const SHOWN = 8;
const SILENCE = 1500; // ms without a frame until the page says so

const canvas = document.getElementById("view");
const state = document.getElementById("state");
const list = document.getElementById("shapes");

const renderer = new THREE.WebGLRenderer({ canvas, antialias: true, alpha: true, preserveDrawingBuffer: true });
const scene = new THREE.Scene();
const camera = new THREE.PerspectiveCamera(26, 1, 0.05, 10);
scene.add(new THREE.HemisphereLight(0xdfeaff, 0x2a2420, 1.6));
for (const [color, strength, x, y, z] of [[0xfff1e0, 2.2, 0.5, 0.7, 1], [0x9db8ff, 0.6, -1, 0.3, -0.4]]) {
  const light = new THREE.DirectionalLight(color, strength);
  light.position.set(x, y, z);
  scene.add(light);
}

const gltf = await new GLTFLoader().loadAsync("/head.glb");

// The avatar may be of any rig: meshes in any number, each with some of ARKit's blend shapes in any order. Case does not matter, and sides may
// be written _L and _R.
const plain = (name) => name.toLowerCase().replace(/_l$/, "left").replace(/_r$/, "right");
const targets = new Map(); // plain name -> [mesh, index] of all meshes that have it
const morphs = [];
gltf.scene.traverse((object) => {
  if (!object.morphTargetDictionary) return;
  morphs.push(object);
  for (const [name, index] of Object.entries(object.morphTargetDictionary))
    targets.set(plain(name), [...(targets.get(plain(name)) ?? []), [object, index]]);
});
if (morphs[0].material.name === "face") morphs[0].material.roughness = 0.6;
const head = new THREE.Group();
head.add(gltf.scene);

// Show what has blend shapes: the head, not the whole body.
head.updateMatrixWorld(true);
const box = new THREE.Box3();
for (const morph of morphs) box.expandByObject(morph, true);
const size = box.getBoundingSphere(new THREE.Sphere());
gltf.scene.position.sub(size.center); // turn about the middle of the head

// A rig that has a head joint turns this joint instead of everything.
let joint = null;
gltf.scene.traverse((object) => {
  if (!joint && !object.isMesh && /(^|[^a-z]|mixamorig)head$/i.test(object.name) && (object.isBone || object.children.length)) joint = object;
});
const rest = joint && joint.getWorldQuaternion(new THREE.Quaternion());
const parent = joint && joint.parent.getWorldQuaternion(new THREE.Quaternion());

function turn(rotation) {
  if (joint) joint.quaternion.copy(parent).invert().multiply(rotation).multiply(rest);
  else head.quaternion.copy(rotation);
}

const stage = new THREE.Group();
stage.add(head);
stage.scale.x = mirror ? -1 : 1;
scene.add(stage);

function resize() {
  renderer.setPixelRatio(window.devicePixelRatio);
  renderer.setSize(window.innerWidth, window.innerHeight, false);
  camera.aspect = window.innerWidth / window.innerHeight;
  const half = THREE.MathUtils.degToRad(camera.fov / 2);
  camera.position.set(0, 0, (1.15 * size.radius) / Math.sin(half) / Math.min(1, camera.aspect));
  camera.near = 0.1 * size.radius; // a rig may be in any unit
  camera.far = 100 * size.radius;
  camera.updateProjectionMatrix();
}
window.addEventListener("resize", resize);
resize();

const rotation = new THREE.Quaternion();
let last = 0;
let frames = 0;

// Of several faces the one that is asked for; else the one that was shown before, as long as it is there.
let shown = options.get("id");

function show(faces) {
  const frame = faces.find((face) => face.id === shown) ?? (options.get("id") ? undefined : faces[0]);
  if (!frame) { if (last) { last = 0; say("no face"); } return; }
  shown = frame.id;
  for (const [name, value] of Object.entries(frame.blendshapes))
    for (const [mesh, index] of targets.get(name.toLowerCase()) ?? []) mesh.morphTargetInfluences[index] = value;
  rotation.fromArray(frame.rotation);
  turn(rotation);
  last = performance.now();
  frames += 1;
  state.textContent = `${frame.id}: yaw ${frame.yaw_pitch_roll[0].toFixed(0)}°, pitch ${frame.yaw_pitch_roll[1].toFixed(0)}°, roll ${frame.yaw_pitch_roll[2].toFixed(0)}°`;
  state.className = "live";
  const strongest = Object.entries(frame.blendshapes).sort((a, b) => b[1] - a[1]).slice(0, SHOWN);
  list.replaceChildren(...strongest.map(([name, value]) => {
    const row = document.createElement("li");
    const parts = ["b", "span", "i"].map((tag) => row.appendChild(document.createElement(tag)));
    parts[0].textContent = name;
    parts[1].textContent = value.toFixed(2);
    parts[2].style.setProperty("--value", `${100 * value}%`);
    return row;
  }));
}

function connect() {
  const socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/frames`);
  socket.onmessage = (message) => show(JSON.parse(message.data));
  socket.onopen = () => say("connected, no face yet");
  socket.onclose = () => { say("connection lost, trying again"); setTimeout(connect, 1000); };
}

function say(text) {
  state.textContent = text;
  state.className = "";
}

renderer.setAnimationLoop(() => {
  if (last && performance.now() - last > SILENCE) { last = 0; say("no face"); }
  renderer.render(scene, camera);
});
connect();

// What the page shows at this moment, for tests and for curious people with a console.
window.avatar = () => ({
  frames,
  state: state.textContent,
  weights: Object.fromEntries(morphs.toReversed().flatMap((mesh) =>
    Object.entries(mesh.morphTargetDictionary).map(([n, i]) => [n, mesh.morphTargetInfluences[i]]))),
  meshes: morphs.map((mesh) => mesh.name),
  joint: joint?.name ?? "",
  turn: (joint ?? head).quaternion.toArray(), // the rest pose of a joint included
  rotation: rotation.toArray(),
});
