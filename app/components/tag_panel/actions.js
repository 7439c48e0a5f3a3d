// The panel's keys: [action, what it does, combinations]. Digits stand for classes, in the order of the list.

export const ACTIONS = [
  ["save", "save the marked classes, next image", ["Enter"]],
  ["skip", "next image, without tagging this one", ["s", "ArrowRight", "PageDown"]],
  ["back", "the image before", ["ArrowLeft", "PageUp"]],
  ["undo", "take the last saved tags back", ["u", "Ctrl+z"]],
  ["search", "mark a class by typing", ["/"]],
  ["clear", "unmark all classes", ["c"]],
  ["suggest", "mark the suggested classes", ["a"]],
  ["help", "all keys", ["?"]],
];

export const STORE = "outfold.tags.keys";
