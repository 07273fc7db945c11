// Package iottext parses and appends the lines of the text protocol of "Custom
// IoT": a device, or a person with netcat, says
//
//	START | COMMAND=PUB | VARIABLE=temp | VALUE=21.5 | END
//
// and hears OK or BAD. A line is ASCII and ends with a line feed.
//
// # Liberal in, exact out
//
// What is written is exactly as above: a space on either side of a bar, none
// around the equals sign, keys in the order of the table in command.go. What is
// read may have spaces and tabs around bars and equals signs or none, a
// carriage return before the line feed, lower case in START, END, keys and
// commands, its fields in any order, empty ones, and fields that the command
// does not take, which are ignored.
//
// # Values
//
// A value is the text behind the first equals sign, without spaces around it.
// A byte that would not survive this is written as a backslash, an x and two
// lower-case hexadecimal digits:
//
//	|                        \x7c
//	line feed                \x0a, as all control characters and DEL
//	END, anywhere            \x45ND, for readers that look for the word alone
//	space at either end      \x20
//	bytes above 127          \xc2\xb0, each by itself
//	\x41, if meant as such   \x5cx41
//
// Every other value is its own form, so plain values are as they always were:
// 50%, C:\data and a=b among them. Reading, digits may be in either case, a
// backslash that begins no such escape is a backslash, and bytes above 127 stand
// for themselves.
//
// # Promises
//
// Neither parsing nor appending allocates, except for a value with an escape,
// which is a copy; every other one aliases the input. Time is linear in the
// bytes that are there. What is appended parses to what it was.
//
// # Left out
//
// What commands mean, and which of them is allowed when: that is the gateway's.
//
// # To add a command
//
//  1. add its constant and name in command.go, and its form to the table there;
//  2. a new field is a row of keys, a member of [Line] and a case of Line.at;
//  3. add a line to the samples of the tests.
package iottext
