// Package proxy stands between clients and brokers of MQTT: it joins any transport
// to any other, and lets stages look at, change, hold back, drop and add packets on
// the way.
//
// To add a stage:
//
//  1. write x.go here: a Config struct of its own with Validate, a type that is a
//     Factory, and one for a connection that is a Stage;
//  2. add it to Config and to the order in stages (config.go);
//  3. test it by Handle alone, and once with an Engine between real sockets.
//
// # The way of a packet
//
//	client -> [0] -> [1] -> ... -> [n-1] -> broker     ToServer
//	client <- [0] <- [1] <- ... <- [n-1] <- broker     ToClient
//
// A frame that a stage emits goes on from that stage's place, in the direction that
// the frame names. So an answer given to a frame from the client goes back through
// the stages before, and does not reach those behind.
//
// # Goroutines
//
// There is one goroutine for each direction of a connection. It reads what one side
// has sent, calls the stages with each packet, and writes what comes out at their
// end; it reads no further before that is written, which is the back-pressure. A
// stage may be entered from several goroutines at once, by frames of both directions
// and by answers: it guards its own state, and holds no lock while it calls emit.
//
// # Promises
//
// No broker is dialed before the CONNECT is complete, has been found correct, and
// has come out of the last stage. Nothing is buffered without limit. An idle
// connection holds no buffers.
package proxy
