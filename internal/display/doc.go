// Package display shows packets: to people as annotated hex, one line each, trees,
// ladders, statistics and pages, to programs as JSON and columns. It also makes
// bytes of that JSON again.
//
// To add a form, write a file with a function that appends what one packet looks
// like to a slice, or with a type that collects packets and writes at the end.
//
// # Promises
//
// Nothing that comes out of a packet reaches a terminal as a command to it: control
// characters, and those that change the direction of text, are written \x1b or
// \u202e; in pages they are escaped as HTML has it. The value and the bytes of what
// is secret are hidden unless [Style.Secrets] is set. [List.Append] does not
// allocate.
//
// # Left out
//
// Where packets come from is of package decode, options and files are of the
// commands.
package display
