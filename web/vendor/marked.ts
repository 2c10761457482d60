/**
 * The one door to the Markdown lexer. In Node this file is used as it is; to browsers
 * `/web/vendor/marked.js` is the package's own module, so the page needs no bundle.
 */
export { lexer, type Token, type Tokens } from "marked";
