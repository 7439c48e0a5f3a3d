// Inline part of a component: it loads `main.js` from the app's own route, where modules may import modules.
/** @param {{ data: { main: string } }} component */
export default async function (component) {
  const { mount } = await import(new URL(component.data.main, window.location.origin).href);
  return mount(component);
}
