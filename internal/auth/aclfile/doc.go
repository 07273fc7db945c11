// Package aclfile authorises by a file in mosquitto's acl_file format:
//
//	topic [read|write|readwrite|deny] FILTER
//	user NAME
//	topic [read|write|readwrite|deny] FILTER
//	pattern [read|write|readwrite|deny] FILTER
//
// A topic line gives rights to the user of the last user line; those before
// the first user line are for anonymous clients. A pattern line is for
// everybody, with %u for the user name and %c for the client identifier, each
// as a whole level. Without a word for the access it is readwrite. Lines that
// begin with "#" are comments; blank lines, a byte order mark and CRLF line
// ends are accepted, and nothing else that is not understood: an error then
// names the line and none of the file is used.
//
// What no line allows is denied, so an empty file denies everything. What any
// line denies is denied, whatever others allow; here mosquitto lets a user's
// topic line win over a pattern that denies. Read is the right to receive and
// write the right to publish. To subscribe takes a line that gives the right to
// read everything that the filter can match, and none that denies all of it:
// where only some of it is denied, those messages are kept back at delivery.
// Mosquitto would grant every subscription. Shared subscriptions count as the
// filter behind the share name.
//
// A name that contains "+", "#", "/" or NUL is never put into a pattern that
// allows; a pattern that denies then denies whatever any name could stand for.
// User names are those that were proved; client identifiers prove nothing.
//
// Publish and Receive are answered without a lock or an allocation, in time
// that grows with the levels of the topic and the number of patterns, not of
// topic lines. All methods may be called from any goroutine.
package aclfile
