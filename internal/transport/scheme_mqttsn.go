package transport

// MQTTSNSchemes is the table for MQTT-SN. 1884 is what EMQX and the gateways of
// the field listen on, because 1883/udp is a common port of multicast groups; 8883
// is registered for MQTT with TLS over TCP and UDP alike.
func MQTTSNSchemes() []Scheme {
	return []Scheme{
		{Name: "mqttsn", Protocol: "mqttsn", Network: "udp", Port: 1884, Packets: true},
		{Name: "mqttsns", Protocol: "mqttsn", Network: "udp", Port: 8883, TLS: true},
	}
}
