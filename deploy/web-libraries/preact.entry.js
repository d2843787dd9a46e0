// The page's components: Preact with its hooks, and htm, which writes elements without a build step.
import { h, render } from "preact";
import htm from "htm";

export { render };
export { createContext } from "preact";
export { useCallback, useContext, useEffect, useMemo, useReducer, useRef, useState } from "preact/hooks";
export const html = htm.bind(h);
