/** SPEC "Limits": counts, and sizes in bytes. */

export const LIMITS = Object.freeze({
  depth: 8,
  record_bytes: 2_048,
  header_bytes: 512,
  segment_records: 256,
  segment_bytes: 262_144,
  frame_bytes: 327_680,
  signatures: 32,
  proof_bytes: 2_048,
  inclusion_bytes: 4_096,
  inclusion_hashes: 8,
  pattern_steps: 8,
  pattern_terms: 16,
  report_intents: 8,
  report_fingerprints: 8,
  report_span_days: 30,
  bucket: 30,
  day: 100_000,
  subject_chars: 214,
  heads: 1_024,
  range_segments: 256
})
