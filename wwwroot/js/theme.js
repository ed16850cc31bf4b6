// Theme and language are cookies, so that the server draws the right page at once and nothing flashes.
const year = 31536000;
const cookie = (name, value) => { document.cookie = `${name}=${encodeURIComponent(value)};path=/;max-age=${year};samesite=lax${location.protocol === 'https:' ? ';secure' : ''}`; };

document.addEventListener('click', (e) => {
  const theme = e.target.closest?.('[data-theme-choice]');
  if (theme) {
    const choice = theme.dataset.themeChoice;
    cookie('kvmportal.theme', choice);
    document.documentElement.dataset.theme = choice;
    dispatchEvent(new Event('kvmportal:theme'));
  }
  const language = e.target.closest?.('[data-culture]');
  if (language) {
    cookie('.AspNetCore.Culture', `c=${language.dataset.culture}|uic=${language.dataset.culture}`);
    location.reload();
  }
});
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => dispatchEvent(new Event('kvmportal:theme')));
