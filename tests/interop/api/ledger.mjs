// Counts what was asked, in which form it was answered, and whether it was what was expected.
import assert from "node:assert/strict";

export class Ledger {
  /** By method: how often a form was answered, and the failures. */
  rows = new Map();

  row(method) {
    const empty = { json: 0, ssz: 0, empty: 0, compared: "", failures: [] };
    return this.rows.get(method) ?? this.rows.set(method, empty).get(method);
  }

  /**
   * Awaits an answer, decodes it, and compares it.
   *
   * `compare` takes the decoded value and the metadata, and throws if they are not as expected;
   * `compared` says in words with what. Returns the value; `undefined` if there is none.
   */
  async check(method, compared, asked, compare = () => {}) {
    const row = this.row(method);
    row.compared ||= compared;
    try {
      const answer = await asked;
      answer.assertOk();
      await answer.rawBody();
      const value = answer.value();
      row[answer.wireFormat() ?? "empty"]++;
      compare(value, answer.meta());
      return value;
    } catch (error) {
      row.failures.push(error.message.split("\n")[0].slice(0, 160));
      return undefined;
    }
  }

  /** Awaits an answer that has to be a refusal with this status. */
  async refused(method, status, asked) {
    const row = this.row(`${method}: ${status}`);
    row.compared = "the status of a refusal";
    const answer = await asked;
    await answer.rawBody().catch(() => {});
    if (answer.status === status) row.json++;
    else row.failures.push(`status ${answer.status}`);
  }

  /** Compares what needs no request. */
  holds(name, compared, compare) {
    const row = this.row(name);
    row.compared ||= compared;
    try {
      compare();
      row.json++;
    } catch (error) {
      row.failures.push(error.message.split("\n")[0].slice(0, 160));
    }
  }

  /** Prints the table, and returns whether nothing failed. */
  print() {
    const columns = (...texts) =>
      console.log(
        [42, 6, 6, 7, 7]
          .map((width, at) => String(texts[at])[at ? "padStart" : "padEnd"](width))
          .concat(`  ${texts[5]}`)
          .join(""),
      );
    columns("request", "JSON", "SSZ", "empty", "wrong", "compared with");
    let wrong = 0;
    for (const [method, { json, ssz, empty, compared, failures }] of this.rows) {
      columns(method, json, ssz, empty, failures.length, compared);
      for (const failure of new Set(failures)) console.log(`    ${failure}`);
      wrong += failures.length;
    }
    assert.ok(this.rows.size > 0);
    return wrong === 0;
  }
}
