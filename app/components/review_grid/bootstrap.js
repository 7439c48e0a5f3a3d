// All that Streamlit carries inline: the grid itself comes from the app's own route, where modules may import modules.
export default async function (component) {
  const { mount } = await import(new URL(component.data.main, window.location.origin).href);
  return mount(component);
}
