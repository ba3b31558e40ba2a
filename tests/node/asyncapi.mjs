// Parse an AsyncAPI document: node asyncapi.mjs FILE. Prints a line for each error or warning, then the number of
// channels and of messages.
import {Parser, fromFile} from '@asyncapi/parser';

const WARNING = 1;
const {document, diagnostics} = await fromFile(new Parser(), process.argv[2]).parse();
for (const found of diagnostics.filter(({severity}) => severity <= WARNING)) {
  console.log(`${found.path.join('.')}: ${found.message}`);
}
if (document) {
  const properties = document.messages().all().flatMap((message) => Object.keys(message.payload()?.properties() ?? {}));
  console.log(JSON.stringify({channels: document.channels().all().map((channel) => channel.id()).sort(), properties: [...new Set(properties)].sort()}));
}
