/** What every request of a script carries: the CSRF token that holds now, and whose page it comes from. */

/** It changes when one signs in again in another tab. */
export function csrfToken(form) {
  const cookie = document.cookie.match(/(?:^|; )csrftoken=([^;]+)/)?.[1];
  return cookie ?? form.elements.csrfmiddlewaretoken.value;
}

/** A body to which a script adds what it has to say. 401 comes where somebody else is signed in by now. */
export function signedBody(form) {
  const body = new FormData();
  body.set("csrfmiddlewaretoken", csrfToken(form));
  body.set("page_of", document.body.dataset.pageOf);
  return body;
}
