// An identity provider (npm oidc-provider) for the tests: `node provider.mjs` prints its issuer and serves until its
// standard input ends. Whoever types a name is signed in by it; names that begin with "analyst" are in that group.
import { generateKeyPairSync } from "node:crypto";
import { createServer } from "node:http";
import { Provider } from "oidc-provider";

const AUDIENCE = "urn:ioint:node";
const back = /^http:\/\/(127\.0\.0\.1|localhost):[0-9]+\/login\/callback$/;

function key(kid, alg) {
  const { privateKey } = alg === "RS256" ? generateKeyPairSync("rsa", { modulusLength: 2048 }) : generateKeyPairSync("ec", { namedCurve: "P-256" });
  return { ...privateKey.export({ format: "jwk" }), kid, alg, use: "sig" };
}

function made(issuer, kid) {
  const jwks = { keys: [key(kid, "RS256"), key(`${kid}-ec`, "ES256")] };
  const provider = new Provider(issuer, {
    jwks,
    clients: [
      { client_id: "gateway", client_secret: "gateway-secret", grant_types: ["client_credentials"], redirect_uris: [], response_types: [] },
      { client_id: "stranger", client_secret: "stranger-secret", grant_types: ["client_credentials"], redirect_uris: [], response_types: [] },
      { client_id: "console", client_secret: "console secret/+", grant_types: ["authorization_code"], redirect_uris: ["https://node.example/login/callback"], response_types: ["code"] },
    ],
    findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id, groups: id.startsWith("analyst") ? ["analysts"] : ["guests"] }) }),
    claims: { openid: ["sub", "groups"] },
    conformIdTokenClaims: false,
    pkce: { required: () => true },
    features: {
      devInteractions: { enabled: true },
      clientCredentials: { enabled: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => AUDIENCE,
        useGrantedResource: () => true,
        getResourceServerInfo: (_, audience, client) => ({
          scope: "query act see_session opine",
          audience,
          accessTokenTTL: 300,
          accessTokenFormat: "jwt",
          jwt: { sign: { alg: client.clientId === "gateway" ? "RS256" : "ES256" } },
        }),
      },
    },
  });
  provider.Client.prototype.redirectUriAllowed = (uri) => back.test(uri);
  return provider.callback();
}

const server = createServer((request, response) => serve(request, response));
let serve;
server.listen(0, "127.0.0.1", () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  let turn = 1;
  let current = made(issuer, "key-1");
  serve = (request, response) => {
    if (request.url === "/rotate") {
      current = made(issuer, `key-${++turn}`);
      response.end("rotated");
      return;
    }
    current(request, response);
  };
  console.log(JSON.stringify({ issuer }));
});
process.stdin.resume();
process.stdin.on("end", () => process.exit(0));
