/* global document, localStorage */
(function () {
  try {
    var chosen = localStorage.getItem('tetherline-chat.theme');
    if (chosen === 'light' || chosen === 'dark') {
      document.documentElement.dataset.theme = chosen;
    }
  } catch {
    // Without storage the system's choice holds.
  }
})();
