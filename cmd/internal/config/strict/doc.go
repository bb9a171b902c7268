// Package strict reads a YAML document and the PERSONA_* variables into a struct by the tags of
// its fields. It is strict and complete: unknown keys, wrong texts and repeated
// keys are [Faults], which are reported together, each with its place and what to do about it.
package strict
