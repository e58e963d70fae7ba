// Runs a command with its output in a file: start.mjs FILE COMMAND ARGUMENTS..
//
// SIGINT and SIGTERM are passed on to the command as SIGINT; what does not end on it within eight
// seconds is killed. So it is if the process that has started this one is gone. The exit code is the
// command's.
import { spawn } from "node:child_process";
import { openSync } from "node:fs";

const [file, command, ...args] = process.argv.slice(2);
const log = openSync(file, "w");
const child = spawn(command, args, { stdio: ["ignore", log, log] });
let ending = false;
const end = () => {
  if (ending) return;
  ending = true;
  child.kill("SIGINT");
  setTimeout(() => child.kill("SIGKILL"), 8_000);
};
const parent = process.ppid;
setInterval(() => process.ppid === parent || end(), 500).unref();
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, end);
child.on("error", (error) => {
  console.error(`${command}: ${error.message}`);
  process.exit(127);
});
child.on("exit", (code) => process.exit(code ?? 1));
