(function () {
  var lit = [];
  function clear() {
    lit.forEach(function (e) { e.classList.remove("hit"); });
    lit = [];
  }
  function light(e) { e.classList.add("hit"); lit.push(e); }
  function show(event) {
    var e = event.target.closest ? event.target.closest("[data-f]") : null;
    clear();
    if (!e) return;
    var packet = e.closest(".both");
    var field = packet.querySelector('li>span[data-f="' + e.dataset.f + '"]');
    if (!field) return;
    light(field);
    if (e !== field) field.scrollIntoView({ block: "nearest" });
    var from = +field.dataset.o, to = from + +field.dataset.n;
    packet.querySelectorAll(".hex i").forEach(function (b) {
      if (+b.dataset.i >= from && +b.dataset.i < to) light(b);
    });
  }
  document.addEventListener("mouseover", show);
  document.addEventListener("focusin", show);
})();
