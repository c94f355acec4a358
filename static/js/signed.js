/** What every request of a script carries: whose page it comes from, and the CSRF token that holds now. */

/** Whose page this is: 401 comes where somebody else is signed in by now. Nobody's is empty. */
const pageOf = document.body.dataset.pageOf ?? "";

/** The token changes when one signs in again in another tab. */
export function csrfToken(form) {
  const cookie = document.cookie.match(/(?:^|; )csrftoken=([^;]+)/)?.[1];
  return cookie ?? form.elements.csrfmiddlewaretoken.value;
}

/** The headers of a request, beside those that it needs for itself. */
export const signedHeaders = (own = {}) => ({ "HX-Request": "true", "Page-Of": pageOf, ...own });

/** A body to which a script adds what it has to say; a beacon has no headers. */
export function signedBody(form) {
  const body = new FormData();
  body.set("csrfmiddlewaretoken", csrfToken(form));
  body.set("page_of", pageOf);
  return body;
}

/** Whether an answer was refused because of who is signed in by now. */
export const isAnothers = (response) => response.status === 401 && response.headers.has("Other-Account");
