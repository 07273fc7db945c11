// Package proxy stands between clients and brokers of MQTT: it joins any transport
// to any other, and lets stages look at, change, hold back, drop and add packets on
// the way.
//
// To add a stage:
//
//  1. write a package below this one (proxy/access is the smallest): a Config with
//     Validate, a Factory that New makes of it, and a Stage for each connection;
//  2. add a field to proxyFile and a line to proxyParts in cmd/iotctl/proxy_config.go,
//     and the keys to proxy_config.yaml there;
//  3. test it by Handle alone, and between real sockets with proxytest.
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
// There is one goroutine for each direction of a connection with stages, TLS or a
// WebSocket; others are on a relay (relay.go). It reads what one side
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
