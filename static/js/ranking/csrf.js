/** The CSRF token that holds now: it changes when one signs in again in another tab. */
export function csrfToken(form) {
  const cookie = document.cookie.match(/(?:^|; )csrftoken=([^;]+)/)?.[1];
  return cookie ?? form.elements.csrfmiddlewaretoken.value;
}
