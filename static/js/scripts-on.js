// Runs before the first paint, so that what needs scripts is not seen to appear or to go.
document.documentElement.classList.add("scripts");
