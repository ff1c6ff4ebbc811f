// Has servers that name no address listen on the loopback, and on an address that was asked for. NNI's manager
// calls listen(port), which is every address of the machine; its own client asks the loopback.
"use strict";
const { Server } = require("net");
const listen = Server.prototype.listen;
const LOOPBACK = "127.0.0.1";
const ALL = ["0.0.0.0", "::"];
const host = process.env.AUTOLA_PORTAL_HOST || LOOPBACK;
delete process.env.AUTOLA_PORTAL_HOST; // not for processes that the manager starts

Server.prototype.listen = function (first, ...rest) {
  const isPort = typeof first === "number" || (typeof first === "string" && /^\d+$/.test(first));
  if (isPort && typeof rest[0] !== "string") {
    if (rest.length && rest[0] == null) rest.shift();
    rest.unshift(host);
  } else if (first && typeof first === "object" && first.port != null && !first.host) {
    first = { ...first, host };
  } else {
    return listen.call(this, first, ...rest);
  }
  if (host !== LOOPBACK && !ALL.includes(host)) listenHereToo(this);
  return listen.call(this, first, ...rest);
};

function listenHereToo(server) {
  const second = new Server((socket) => server.emit("connection", socket));
  second.on("error", (error) => server.emit("error", error));
  server.once("listening", () => listen.call(second, server.address().port, LOOPBACK));
  server.once("close", () => second.close());
}
