//go:build unix

package interop

import (
	"slices"
	"strings"
)

// exchange is what a device says, what it is answered, and the message that an
// MQTT client receives of it, if there is a topic.
type exchange struct {
	say, hear      []byte
	topic, payload string
}

// deviceScript is a conversation of a device with the server in bytes that
// specifications, vendors and other servers' tests print, or that follow from
// them by hand.
type deviceScript struct {
	name, url string // of the listener
	id        string
	login     []exchange
	uplink    exchange // says nothing of the ones before, so can be said again
	denied    []byte   // the answer when it may not be published, if it is another

	downTopic, command string
	frame              []byte // what the device hears of it, after the login and the uplink

	takenOver, shutdown []byte // what the device hears before the server ends the connection
}

// datagrams have no end, and nobody can be sent away on them.
func (s deviceScript) datagrams() bool {
	return strings.Contains(s.url, "+udp:") || strings.Contains(s.url, "+dtls:")
}

// on is the same device at another listener.
func (s deviceScript) on(name, url string) deviceScript {
	s.name, s.url = name, url
	return s
}

var emqtcpScript = deviceScript{
	name: "emqtcp", url: "emqtcp://127.0.0.1:0", id: "abcd",
	login: []exchange{{
		say:  unhex("11 00 07 3C 00 04 61 62 63 64"),
		hear: unhex("20 00 14 43 6F 6E 6E 65 63 74 20 53 75 63 63 65 73 73 66 75 6C 6C 79"),
	}, {say: unhex("40"), hear: unhex("50")}},
	uplink:    exchange{say: unhex("30 00 02 68 69"), topic: "tcp/abcd/up", payload: "hi"},
	downTopic: "tcp/abcd/dn", command: "ok", frame: unhex("30 00 02 6F 6B"),
}

var textScript = deviceScript{
	name: "text", url: "text://127.0.0.1:0", id: "lamp",
	login: []exchange{
		{say: []byte("START | COMMAND=HELLO! | END\n"), hear: []byte("START | COMMAND=OK | END\n")},
		{say: []byte("START | COMMAND=ID | ID=lamp | END\n"), hear: []byte("START | COMMAND=OK | END\n")},
		{say: []byte("START | COMMAND= UNSUBALL | END\r\n"), hear: []byte("START | COMMAND=OK | END\n")},
	},
	uplink: exchange{
		say: []byte("START | COMMAND=PUB | VARIABLE=temp | VALUE=21.5 | END\n"), hear: []byte("START | COMMAND=OK | END\n"),
		topic: "text/var/temp", payload: "21.5",
	},
	denied:    []byte("START | COMMAND=BAD | REASON=not authorized | END\n"),
	downTopic: "text/dev/lamp/in", command: "on",
	frame:     []byte("START | COMMAND=MSG | DEVICE=lamp | VALUE=on | END\n"), // the MQTT client's id
	takenOver: []byte("START | COMMAND=CLOSE | REASON=session taken over | END\n"),
	shutdown:  []byte("START | COMMAND=CLOSE | REASON=server shutting down | END\n"),
}

// textTLSScript has a variable of its own, because values stay.
func textTLSScript() deviceScript {
	s := textScript.on("text-tls", "texts://127.0.0.1:0")
	s.uplink.say = []byte("START|COMMAND=pub|VALUE=21.5|VARIABLE=humidity|END\n")
	s.uplink.topic = "text/var/humidity"
	return s
}

var gt06Script = deviceScript{
	name: "gt06", url: "frame://127.0.0.1:0/gt06", id: "123456789012345",
	login: []exchange{{
		say: unhex("78 78 0D 01 01 23 45 67 89 01 23 45 00 01 8C DD 0D 0A"), hear: unhex("78 78 05 01 00 01 D9 DC 0D 0A"),
		topic: "gt06/123456789012345/login", payload: `{"serial": 1}`,
	}, {
		say: unhex("78 78 0A 13 40 04 04 00 01 00 0F DC EE 0D 0A"), hear: unhex("78 78 05 13 00 0F 00 8F 0D 0A"),
		topic: "gt06/123456789012345/heartbeat", payload: `{"voltage": 4, "gsm": 4, "serial": 15}`,
	}},
	uplink: exchange{
		say:   unhex(`78 78 1F 12 0B 08 1D 11 2E 10 CF 02 7A C7 EB 0C 46 58 49 00 14 8F 01 CC 00 28 7D 00 1F B8 00 03 80 81 0D 0A`),
		topic: "gt06/123456789012345/location",
		payload: `{"time": "2011-08-29T17:46:16Z", "sats": 15, "lat": 23.111668, "lon": 114.409285, "speed": 0, "course": 143,
			"mcc": 460, "mnc": 0, "lac": 10365, "cell": 8120, "serial": 3}`,
	},
	downTopic: "gt06/123456789012345/down", command: `{"cmd": "command", "text": "sos#"}`,
	frame: unhex("78 78 0E 80 08 00 00 00 00 73 6F 73 23 00 02 5F F1 0D 0A"), // the third serial number of the server
}

var jt808Script = deviceScript{
	name: "jt808", url: "frame://127.0.0.1:0/jt808", id: "013511221122",
	login: []exchange{{
		say:   unhex("7E 01 02 00 0E 01 35 11 22 11 22 00 06 61 75 74 68 65 6E 74 69 63 61 74 69 6F 6E 3F 7E"),
		hear:  unhex("7E 80 01 00 05 01 35 11 22 11 22 00 00 00 06 01 02 00 B5 7E"),
		topic: "jt808/013511221122/authenticate", payload: `{"serial": 6}`,
	}, {
		say: unhex(`7E 02 00 00 2A 01 35 11 22 11 22 00 19 00 00 00 00 00 00 00 C2 01 59 7F A8 06 CC 01 58 00 80 00 00
			00 08 15 08 18 07 21 21 01 04 00 00 02 F5 02 02 00 00 03 02 00 00 A2 7E`),
		hear:    unhex("7E 80 01 00 05 01 35 11 22 11 22 00 01 00 19 02 00 00 AA 7E"),
		topic:   "jt808/013511221122/location",
		payload: `{"lat": 22.6426, "lon": 114.032984, "altitude": 128, "direction": 8, "mileage": 75.7, "fuel": 0}`,
	}},
	uplink: exchange{ // a general answer, which is not answered
		say:   unhex("7E 00 01 00 05 01 35 11 22 11 22 00 08 00 01 83 00 00 BA 7E"),
		topic: "jt808/013511221122/answer", payload: `{"answer_serial": 1, "result": "ok"}`,
	},
	downTopic: "jt808/013511221122/down", command: `{"cmd": "locate"}`,
	frame: unhex("7E 82 01 00 00 01 35 11 22 11 22 00 02 B5 7E"), // the third serial number of the server
}

var dlt645Script = deviceScript{
	name: "dlt645", url: "frame://127.0.0.1:0/dlt645/line1", id: "line1",
	login: []exchange{{
		say:   unhex("FE FE FE FE 68 01 00 00 00 00 00 68 93 06 34 33 33 33 33 33 9D 16"),
		topic: "dlt645/line1/000000000001/address", payload: `{"meter": "000000000001"}`,
	}},
	uplink: exchange{
		say:   unhex("68 01 00 00 00 00 00 68 91 08 33 33 34 33 AB 89 67 45 17 16"),
		topic: "dlt645/line1/000000000001/data", payload: `{"id": "00010000", "import_energy": 123456.78}`,
	},
	downTopic: "dlt645/line1/down", command: `{"cmd": "read", "address": "000000000001", "id": "00010000"}`,
	frame: unhex("FE FE FE FE 68 01 00 00 00 00 00 68 11 04 33 33 34 33 B3 16"),
}

var modbusScript = deviceScript{
	name: "modbus", url: "frame://127.0.0.1:0/modbus-tcp/plc", id: "plc",
	login: []exchange{{
		say:   unhex("00 01 00 00 00 03 11 83 02"),
		topic: "modbus/plc/17/exception", payload: `{"exception": "illegal data address"}`,
	}},
	uplink: exchange{
		say:   unhex("00 01 00 00 00 09 11 03 06 02 2B 00 00 00 64"),
		topic: "modbus/plc/17/registers", payload: `{"transaction": 1, "values": [555, 0, 100]}`,
	},
	downTopic: "modbus/plc/down",
	command:   `{"cmd": "read_holding_registers", "transaction": 1, "unit": 17, "address": 107, "count": 3}`,
	frame:     unhex("00 01 00 00 00 06 11 03 00 6B 00 03"),
}

var hj212Uplink = exchange{
	say: []byte("##0101QN=20160801085857223;ST=32;CN=1062;PW=100000;MN=010000A8900016F000169DC0;Flag=5;" +
		"CP=&&RtdInterval=30&&1C80\r\n"),
	hear:  []byte("##0087QN=20160801085857223;ST=91;CN=9014;PW=100000;MN=010000A8900016F000169DC0;Flag=4;CP=&&&&71C0\r\n"),
	topic: "hj212/010000A8900016F000169DC0/command", payload: `{"QN": "20160801085857223", "CP": {"RtdInterval": 30}}`,
}

var hj212Script = deviceScript{
	name: "hj212", url: "frame://127.0.0.1:0/hj212", id: "010000A8900016F000169DC0",
	login: []exchange{hj212Uplink}, uplink: hj212Uplink,
	downTopic: "hj212/010000A8900016F000169DC0/down", command: `{"cmd": "raw", "hex": "2323303030300d0a"}`,
	frame: []byte("##0000\r\n"),
}

var teltonikaScript = deviceScript{
	name: "teltonika8", url: "frame://127.0.0.1:0/teltonika8", id: "356307042441013",
	login: []exchange{{
		say: unhex("00 0F 33 35 36 33 30 37 30 34 32 34 34 31 30 31 33"), hear: unhex("01"),
		topic: "teltonika/356307042441013/login", payload: `{"imei": "356307042441013"}`,
	}},
	uplink: exchange{
		say: unhex(`00 00 00 00 00 00 00 36 08 01 00 00 01 6B 40 D8 EA 30 01 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 01 05 02
			15 03 01 01 01 42 5E 0F 01 F1 00 00 60 1A 01 4E 00 00 00 00 00 00 00 00 01 00 00 C7 CF`),
		hear:  unhex("00 00 00 01"),
		topic: "teltonika/356307042441013/records", payload: `{"count": 1}`,
	},
	downTopic: "teltonika/356307042441013/down", command: `{"cmd": "command", "text": "getinfo"}`,
	frame: unhex("00 00 00 00 00 00 00 0F 0C 01 05 00 00 00 07 67 65 74 69 6E 66 6F 01 00 00 43 12"),
}

const vin = "31 47 31 42 4C 35 32 50 37 54 52 31 31 35 35 32 30"

var gb32960Script = deviceScript{
	name: "gb32960", url: "frame://127.0.0.1:0/gb32960", id: "1G1BL52P7TR115520",
	login: []exchange{{
		say: unhex("23 23 01 FE" + vin + `01 00 1F 0C 0C 1D 0C 13 14 00 01 31 32 33 34 35 36 37 38 39 30 31 32 33 34 35 36 37 38 39 30
			01 01 43 98`),
		hear:  unhex("23 23 01 01" + vin + "01 00 06 0C 0C 1D 0C 13 14 3C"),
		topic: "gb32960/1G1BL52P7TR115520/login", payload: `{"sequence": 1, "iccid": "12345678901234567890", "codes": ["C"]}`,
	}},
	uplink: exchange{
		say: unhex("23 23 07 FE" + vin + "01 00 00 D5"), hear: unhex("23 23 07 01" + vin + "01 00 00 2A"),
		topic: "gb32960/1G1BL52P7TR115520/heartbeat", payload: `{"vin": "1G1BL52P7TR115520"}`,
	},
	downTopic: "gb32960/1G1BL52P7TR115520/down", command: `{"cmd": "raw", "hex": "2323"}`, frame: unhex("23 23"),
}

var thingspanelScript = deviceScript{
	name: "thingspanel", url: "frame://127.0.0.1:0/thingspanel", id: "token",
	login: []exchange{
		{say: unhex("54 50 00 00 00 00 00 05 74 6F 6B 65 6E"), topic: "thingspanel/token/auth", payload: `{"token": "token"}`},
		{say: unhex("54 50 01 00 00 00 00 00"), topic: "thingspanel/token/heartbeat", payload: `{"type": 1}`},
	},
	uplink: exchange{
		say:   unhex("54 50 00 01 00 00 00 0A 7B 22 74 22 3A 32 35 2E 35 7D"),
		topic: "thingspanel/token/attributes", payload: `{"data": {"t": 25.5}}`,
	},
	downTopic: "thingspanel/token/down", command: `{"cmd": "attributes", "data": {"t": 25.5}}`,
	frame: unhex("54 50 00 01 00 00 00 0A 7B 22 74 22 3A 32 35 2E 35 7D"),
}

var linesScript = deviceScript{
	name: "lines", url: "frame://127.0.0.1:0/lines/post", id: "post",
	uplink:    exchange{say: []byte("21.5 48\r\n"), topic: "lines/post/up", payload: "21.5 48"},
	downTopic: "lines/post/down", command: "status", frame: []byte("status\n"),
}

var jsonLinesScript = deviceScript{
	name: "json-lines", url: "frame://127.0.0.1:0/json-lines/probe", id: "probe",
	uplink:    exchange{say: []byte("{\"t\":25.5}\n"), topic: "json-lines/probe/up", payload: `{"t": 25.5}`},
	downTopic: "json-lines/probe/down", command: `{"led":true}`, frame: []byte("{\"led\":true}\n"),
}

// frameScripts are those of protocols that files describe.
var frameScripts = []deviceScript{
	gt06Script, jt808Script, dlt645Script, modbusScript, hj212Script, teltonikaScript, gb32960Script, thingspanelScript,
	linesScript, jsonLinesScript,
	gt06Script.on("gt06-tls", "frames://127.0.0.1:0/gt06"),
	gt06Script.on("gt06-udp", "frame+udp://127.0.0.1:0/gt06"),
}

// deviceScripts is every protocol, and the ways to connect.
var deviceScripts = slices.Concat([]deviceScript{
	emqtcpScript, emqtcpScript.on("emqtcp-tls", "emqtcps://127.0.0.1:0"),
	textScript, textTLSScript(),
}, frameScripts, exprotoScripts)

// listenersOf is a listener for each script.
func listenersOf(scripts []deviceScript) map[string]string {
	l := make(map[string]string)
	for _, s := range scripts {
		l[s.name] = s.url
	}
	return l
}
