"use strict";
// Tooltips: what the browser would show of a title after a while, at once.
const tip = document.getElementById("tip");
const hide = () => { tip.hidden = true; };
for (const hit of document.querySelectorAll(".hit")) {
  const text = hit.title;
  hit.removeAttribute("title");
  const show = (e) => {
    tip.textContent = text;
    tip.hidden = false;
    const left = e.clientX + 14 + tip.offsetWidth > innerWidth ? e.clientX - 14 - tip.offsetWidth : e.clientX + 14;
    tip.style.left = Math.max(4, left) + "px";
    tip.style.top = Math.max(4, Math.min(e.clientY + 14, innerHeight - tip.offsetHeight - 4)) + "px";
  };
  hit.addEventListener("pointermove", show);
  hit.addEventListener("pointerdown", show);
  hit.addEventListener("pointerleave", hide);
}
addEventListener("scroll", hide, { passive: true });
