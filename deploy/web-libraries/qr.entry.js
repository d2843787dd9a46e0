// QR codes: which squares are dark.
export { encode } from "uqr";
