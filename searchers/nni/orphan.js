// Ends NNI's manager, its tuner and its trials when the process that started it is gone: kill -9 leaves no word.
"use strict";
const parent = Number(process.env.AUTOLA_PID);
delete process.env.AUTOLA_PID; // not for processes that the manager starts

if (parent) {
  const watch = setInterval(() => {
    if (process.ppid === parent) return;
    clearInterval(watch);
    process.kill(process.pid, "SIGTERM");
  }, 500);
  watch.unref();
}
