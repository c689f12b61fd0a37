// Listens to a stream with the eventsource package; prints each event; the token and the URL are given.
import { EventSource } from "eventsource";

const [url, token, count] = process.argv.slice(2);
let heard = 0;
const source = new EventSource(url, {
  fetch: (input, init) =>
    fetch(input, { ...init, headers: { ...init.headers, Authorization: `Bearer ${token}` } }),
});
const take = (event) => {
  console.log(JSON.stringify({ id: event.lastEventId, event: event.type, data: JSON.parse(event.data) }));
  heard += 1;
  if (heard >= Number(count)) {
    source.close();
  }
};
for (const name of ["reputation", "trust", "response", "withdrawal", "reset"]) {
  source.addEventListener(name, take);
}
source.addEventListener("open", () => console.log("open"));
