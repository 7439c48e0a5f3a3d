// Rules of the components' JavaScript. Names are checked by the type checker (tsconfig.json), which knows those of browsers.

import js from "@eslint/js";

export default [
  {
    files: ["app/components/**/*.js", "tests/js/*.js"],
    ...js.configs.recommended,
    languageOptions: { ecmaVersion: "latest", sourceType: "module" },
    linterOptions: { reportUnusedDisableDirectives: "error" },
    rules: {
      ...js.configs.recommended.rules,
      "no-undef": "off",
      "no-unused-vars": ["error", { argsIgnorePattern: "^_", varsIgnorePattern: "^_" }],
      "no-var": "error",
      "prefer-const": ["error", { destructuring: "all" }],
      eqeqeq: "error",
      "no-implicit-globals": "error",
      "no-shadow": "off",
      "no-duplicate-imports": "error",
      "no-self-compare": "error",
      "no-template-curly-in-string": "error",
      "object-shorthand": "error",
      "prefer-template": "error",
      "no-unneeded-ternary": "error",
    },
  },
];
