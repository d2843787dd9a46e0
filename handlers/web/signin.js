// Signing in, with the credentials that the gobi command has.

import { html, useState } from "./vendor/preact.js";
import { signIn } from "./api.js";
import { Title } from "./parts.js";

export function SignIn({ done, again = false }) {
  const [problem, setProblem] = useState(null);
  const [busy, setBusy] = useState(false);
  const submit = async (event) => {
    event.preventDefault();
    const form = new FormData(event.target);
    setBusy(true);
    setProblem(null);
    try {
      done(await signIn(form.get("user"), form.get("password")));
    } catch (error) {
      setProblem(error.code === "unauthorized" ? "That user and password do not go together." : error.message);
      setBusy(false);
    }
  };
  return html`<main id="main" class="narrow">
    <${Title} text="Sign in" />
    ${again && html`<p>Your session has ended. What you were at is kept, and goes on when you have signed in.</p>`}
    <form onSubmit=${submit}>
      <label>User <input name="user" autocomplete="username" autocapitalize="none" spellcheck="false" required autofocus /></label>
      <label>Password <input name="password" type="password" autocomplete="current-password" required /></label>
      ${problem && html`<p class="problem" role="alert">${problem}</p>`}
      <button class="main" disabled=${busy}>Sign in</button>
    </form>
    <p class="quiet">The same as for <code>gobi connect</code>. Whoever runs this server can add you with <code>gobi user add</code>.</p>
  </main>`;
}
