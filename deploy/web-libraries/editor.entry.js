// The editor of the conflict window, and the comparison of two versions.
export { EditorState, StateEffect, StateField, RangeSet, RangeSetBuilder, Compartment, Annotation } from "@codemirror/state";
export { EditorView, Decoration, WidgetType, keymap, lineNumbers, drawSelection, highlightActiveLine } from "@codemirror/view";
export { defaultKeymap, history, historyKeymap, invertedEffects } from "@codemirror/commands";
export { search, searchKeymap } from "@codemirror/search";
export { MergeView, unifiedMergeView } from "@codemirror/merge";
