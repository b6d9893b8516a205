const prefix = document.body.dataset.prefix;
const said = document.getElementById("said");

async function sent(path, content) {
  const answer = await fetch(prefix + path, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(content),
  });
  const body = await answer.json();
  if (body.errors) throw new Error(body.errors[0].message);
  if (!answer.ok) throw new Error(String(answer.status));
  return body;
}

const CANCEL_TRIES = 20;
const CANCEL_PAUSE_MS = 500;

/* Dagster cannot end a run that is just being started: it is asked again for some seconds. */
async function terminated(run) {
  for (let tries = 1; ; tries += 1) {
    const { data } = await sent("/graphql", {
      query: `mutation Cancel($run: String!) { terminateRun(runId: $run, terminatePolicy: SAFE_TERMINATE) {
        __typename ... on TerminateRunFailure { message run { status } } ... on UnauthorizedError { message }
        ... on PythonError { message } } }`,
      variables: { run },
    });
    const answer = data.terminateRun;
    if (answer.run?.status !== "STARTING" || tries === CANCEL_TRIES) return answer;
    await new Promise((resolve) => setTimeout(resolve, CANCEL_PAUSE_MS));
  }
}

/* Launching and cancelling go through GraphQL, as Dagster's own pages do: the same checks, the same records. */
const actions = {
  async pin(button) {
    await sent("/results/pin", { task_id: button.dataset.task, pinned: button.dataset.pinned === "true" });
    location.reload();
  },
  async cancel(button) {
    const answer = await terminated(button.dataset.run);
    said.textContent = answer.message || "";
    if (!answer.message) await live();
  },
  async rerun(button) {
    const { data } = await sent("/graphql", {
      query: `mutation Launch($params: ExecutionParams!) { launchRun(executionParams: $params) {
        __typename ... on LaunchRunSuccess { run { runId } } ... on RunConfigValidationInvalid { errors { message } }
        ... on UnauthorizedError { message } ... on PythonError { message } } }`,
      variables: { params: JSON.parse(button.dataset.launch) },
    });
    const answer = data.launchRun;
    if (answer.run) location.assign(`${prefix}/runs/${answer.run.runId}`);
    else said.textContent = answer.message || (answer.errors || []).map((one) => one.message).join("; ");
  },
};

document.addEventListener("click", async (event) => {
  const button = event.target.closest("button[data-action]");
  if (!button) return;
  button.disabled = true;
  try {
    await actions[button.dataset.action](button);
  } catch (error) {
    said.textContent = error.message;
  } finally {
    button.disabled = false;
  }
});

/* Where there is room, the filters need not be opened. */
const filters = document.querySelector("details.filtering");
if (filters && matchMedia("(min-width: 601px)").matches) filters.open = true;

/* Rows stay as they are while somebody is about to press a button in them, also if that began during the request. */
async function live() {
  const place = document.getElementById("live");
  const used = () => place.contains(document.activeElement);
  if (!place || used()) return;
  const answer = await fetch(`${prefix}/results/live${location.search}`);
  if (!answer.ok) return;
  const rows = await answer.text();
  if (used()) return;
  place.innerHTML = rows; /* the server's own HTML, every name in it escaped */
  markScrolling();
}

/* While the manifests are read for the first time, the page is asked for again, unless somebody uses it. */
if (document.querySelector("[data-reading]")) {
  setInterval(() => {
    const used = document.querySelector(":checked[name=task]") || document.activeElement !== document.body;
    if (!document.hidden && !used) location.reload();
  }, 3000);
}

if (document.getElementById("live")) {
  setInterval(() => document.hidden || live().catch(() => {}), 3000);
}
