// Package translate lets clients of one version of MQTT use brokers of another.
//
// What 5.0 has and 3.x has not is kept by the proxy where it can act in the place of
// the broker, and otherwise left out and counted:
//
//	                      5.0 client, 3.x broker           3.x client, 5.0 broker
//	clean start, expiry   clean session; a clean start     expiry 0xFFFFFFFF without
//	                      of a session that is to last     clean session, else 0
//	                      connects twice
//	client identifier     an empty one is made, and        an empty one without clean
//	                      assigned                         session is refused
//	topic alias           resolved                         none is offered
//	receive maximum       the client's is kept to          the broker's is kept to
//	maximum packet size   deliveries above are dropped     messages above: see failures
//	subscription id       matched here                     -
//	retain handling       1 and 2 hold retained messages   -
//	                      back that no other subscription
//	                      of the client asks for
//	server keep alive     -                                the proxy pings
//	maximum QoS, retain   -                                messages are lowered, the
//	                                                       flag is taken away
//	message expiry        left out; or remembered, and     -
//	                      counted: Config.Expiries
//	no local              ignored or refused: a broker of  set for bridges (bit 7 of
//	                      3.x does not say whose message   the level), as is retain as
//	                      it delivers                      published
//	DISCONNECT            other than 0: the connection     closes the connection
//	                      drops, and the will fires
//	failing PUBACK        not sent to brokers of 3.x       swallowed, or the connection
//	                                                       closes
//	AUTH                  refused                          -
//	will delay            the will fires at once           -
//
// 3.1 and 3.1.1 are translated, too; they differ in CONNECT and in little else.
package translate
