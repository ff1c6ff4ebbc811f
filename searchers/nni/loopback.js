// Has servers that name no address listen on the loopback alone. NNI's manager calls listen(port).
"use strict";
const { Server } = require("net");
const listen = Server.prototype.listen;
const HERE = "127.0.0.1";

Server.prototype.listen = function (first, ...rest) {
  const isPort = typeof first === "number" || (typeof first === "string" && /^\d+$/.test(first));
  if (isPort && typeof rest[0] !== "string") {
    if (rest.length && rest[0] == null) rest.shift();
    rest.unshift(HERE);
  } else if (first && typeof first === "object" && first.port != null && !first.host) {
    first = { ...first, host: HERE };
  }
  return listen.call(this, first, ...rest);
};
