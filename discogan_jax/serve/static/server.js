// The model of the page: a server translates.
class ServerError extends Error {
  mayHelpAgain = true;
}

const model = {
  privacy: "A picture stays in the server's memory while it is translated and is kept nowhere.",

  async about() {
    try {
      const about = await (await fetch("about")).json();
      if (!about.examples.length) about.no_examples = "The pictures that training held out are not on this machine.";
      return about;
    } catch {
      throw new ServerError("The server gives no answer: load the page again.");
    }
  },

  example: (name) => `example/${name}`,

  async translate(file, direction, step, signal) {
    let answer;
    try {
      const query = new URLSearchParams({ direction, step, size: "input" });
      answer = await fetch(`translate?${query}`, { method: "POST", body: file, signal });
      if (answer.ok) return await answer.json();
    } catch {
      throw new ServerError("It could not be sent: it is a folder, the file is gone, or the server has stopped.");
    }
    if (answer.status === 401) location.reload();
    const why = await answer.text();
    throw answer.status < 500 ? new Error(why) : new ServerError(why);
  },
};
