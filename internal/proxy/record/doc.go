// Package record writes down whole sessions that pass a proxy, plays them again as
// the clients or as the broker, and compares what was answered then and now.
//
// # Format
//
// A recording is text, an object of JSON per line. The first line says what it is:
//
//	{"iotctl_recording":1,"program":"iotctl proxy","began":"2026-05-04T03:02:01Z","secrets":false}
//
// and each other line what happened on connection c, t seconds after that:
//
//	{"t":0.001,"c":1,"open":{"client":"ana","version":4,"user":"ana","from":"127.0.0.1:52658"}}
//	{"t":0.001,"c":1,"d":"c2s","type":"CONNECT","packet":"100f00044d5154540402003c0003616e61","hidden":true}
//	{"t":0.052,"c":1,"note":"fault acks: drop s2c PUBACK, match 1: not passed on","rule":"acks"}
//	{"t":1.000,"c":1,"end":"client"}
//
// packet is what the client has sent or got, in hex. hidden says that passwords and
// authentication data were taken out of it. Keys that a reader does not know are to be
// ignored; what would change the meaning of the known ones has another number in the
// first line.
//
// # Replay
//
// A session is played by meaning, not by the clock alone: a packet is sent when its
// time has come and every answer has arrived that had arrived before it in the
// recording. Packet identifiers that the peer chooses are found again by what its
// packets say. What the peer asks and the recording does not know is answered as a
// client or broker would.
package record
