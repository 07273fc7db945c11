package lwm2m

import "sync"

// objects are those of the OMA registry (OMNA) that are met most, with the
// resources that are their own. They are made when they are first asked for.
var objects = sync.OnceValue(func() map[uint16]Object {
	return map[uint16]Object{
		0: {"LWM2M Security", map[uint16]Resource{
			0: {"LWM2M Server URI", String, "", false}, 1: {"Bootstrap-Server", Boolean, "", false}, 2: {"Security Mode", Integer, "", false},
			3: {"Public Key or Identity", Opaque, "", false}, 4: {"Server Public Key", Opaque, "", false}, 5: {"Secret Key", Opaque, "", false},
			6: {"SMS Security Mode", Integer, "", false}, 7: {"SMS Binding Key Parameters", Opaque, "", false},
			8: {"SMS Binding Secret Key(s)", Opaque, "", false}, 9: {"LWM2M Server SMS Number", String, "", false},
			10: {"Short Server ID", Integer, "", false}, 11: {"Client Hold Off Time", Integer, "s", false},
			12: {"Bootstrap-Server Account Timeout", Integer, "s", false}, 13: {"Matching Type", UnsignedInteger, "", false},
			14: {"SNI", String, "", false}, 15: {"Certificate Usage", UnsignedInteger, "", false},
			16: {"DTLS/TLS Ciphersuite", UnsignedInteger, "", true}, 17: {"OSCORE Security Mode", ObjectLink, "", false},
		}},
		1: {"LwM2M Server", map[uint16]Resource{
			0: {"Short Server ID", Integer, "", false}, 1: {"Lifetime", Integer, "s", false}, 2: {"Default Minimum Period", Integer, "s", false},
			3: {"Default Maximum Period", Integer, "s", false}, 4: {"Disable", Execute, "", false}, 5: {"Disable Timeout", Integer, "s", false},
			6: {"Notification Storing When Disabled or Offline", Boolean, "", false}, 7: {"Binding", String, "", false},
			8: {"Registration Update Trigger", Execute, "", false}, 9: {"Bootstrap-Request Trigger", Execute, "", false},
			10: {"APN Link", ObjectLink, "", false}, 11: {"TLS-DTLS Alert Code", UnsignedInteger, "", false},
			12: {"Last Bootstrapped", Time, "", false}, 13: {"Registration Priority Order", UnsignedInteger, "", false},
			14: {"Initial Registration Delay Timer", UnsignedInteger, "s", false}, 15: {"Registration Failure Block", Boolean, "", false},
			16: {"Bootstrap on Registration Failure", Boolean, "", false}, 17: {"Communication Retry Count", UnsignedInteger, "", false},
			18: {"Communication Retry Timer", UnsignedInteger, "s", false}, 19: {"Communication Sequence Delay Timer", UnsignedInteger, "s", false},
			20: {"Communication Sequence Retry Count", UnsignedInteger, "", false}, 21: {"Trigger", Boolean, "", false},
			22: {"Preferred Transport", String, "", false}, 23: {"Mute Send", Boolean, "", false},
		}},
		2: {"LwM2M Access Control", map[uint16]Resource{
			0: {"Object ID", Integer, "", false}, 1: {"Object Instance ID", Integer, "", false}, 2: {"ACL", Integer, "", true},
			3: {"Access Control Owner", Integer, "", false},
		}},
		3: {"Device", map[uint16]Resource{
			0: {"Manufacturer", String, "", false}, 1: {"Model Number", String, "", false}, 2: {"Serial Number", String, "", false},
			3: {"Firmware Version", String, "", false}, 4: {"Reboot", Execute, "", false}, 5: {"Factory Reset", Execute, "", false},
			6: {"Available Power Sources", Integer, "", true}, 7: {"Power Source Voltage", Integer, "mV", true},
			8: {"Power Source Current", Integer, "mA", true}, 9: {"Battery Level", Integer, "%", false}, 10: {"Memory Free", Integer, "KiB", false},
			11: {"Error Code", Integer, "", true}, 12: {"Reset Error Code", Execute, "", false}, 13: {"Current Time", Time, "", false},
			14: {"UTC Offset", String, "", false}, 15: {"Timezone", String, "", false}, 16: {"Supported Binding and Modes", String, "", false},
			17: {"Device Type", String, "", false}, 18: {"Hardware Version", String, "", false}, 19: {"Software Version", String, "", false},
			20: {"Battery Status", Integer, "", false}, 21: {"Memory Total", Integer, "KiB", false}, 22: {"ExtDevInfo", ObjectLink, "", true},
		}},
		4: {"Connectivity Monitoring", map[uint16]Resource{
			0: {"Network Bearer", Integer, "", false}, 1: {"Available Network Bearer", Integer, "", true},
			2: {"Radio Signal Strength", Integer, "dBm", false}, 3: {"Link Quality", Integer, "", false}, 4: {"IP Addresses", String, "", true},
			5: {"Router IP Addresses", String, "", true}, 6: {"Link Utilization", Integer, "%", false}, 7: {"APN", String, "", true},
			8: {"Cell ID", Integer, "", false}, 9: {"SMNC", Integer, "", false}, 10: {"SMCC", Integer, "", false},
			11: {"SignalSNR", Integer, "dB", false}, 12: {"LAC", Integer, "", false}, 13: {"Coverage Enhancement Level", Integer, "", false},
		}},
		5: {"Firmware Update", map[uint16]Resource{
			0: {"Package", Opaque, "", false}, 1: {"Package URI", String, "", false}, 2: {"Update", Execute, "", false}, 3: {"State", Integer, "", false},
			5: {"Update Result", Integer, "", false}, 6: {"PkgName", String, "", false}, 7: {"PkgVersion", String, "", false},
			8: {"Firmware Update Protocol Support", Integer, "", true}, 9: {"Firmware Update Delivery Method", Integer, "", false},
			10: {"Cancel", Execute, "", false}, 11: {"Severity", Integer, "", false}, 12: {"Last State Change Time", Time, "", false},
			13: {"Maximum Defer Period", UnsignedInteger, "s", false},
		}},
		6: {"Location", map[uint16]Resource{
			0: {"Latitude", Float, "lat", false}, 1: {"Longitude", Float, "lon", false}, 2: {"Altitude", Float, "m", false},
			3: {"Radius", Float, "m", false}, 4: {"Velocity", Opaque, "", false}, 5: {"Timestamp", Time, "", false}, 6: {"Speed", Float, "m/s", false},
		}},
		7: {"Connectivity Statistics", map[uint16]Resource{
			0: {"SMS Tx Counter", Integer, "", false}, 1: {"SMS Rx Counter", Integer, "", false}, 2: {"Tx Data", Integer, "KiB", false},
			3: {"Rx Data", Integer, "KiB", false}, 4: {"Max Message Size", Integer, "B", false}, 5: {"Average Message Size", Integer, "B", false},
			6: {"Start", Execute, "", false}, 7: {"Stop", Execute, "", false}, 8: {"Collection Period", Integer, "s", false},
		}},
		8: {"Lock and Wipe", nil},
		9: {"Software Management", map[uint16]Resource{
			0: {"PkgName", String, "", false}, 1: {"PkgVersion", String, "", false}, 2: {"Package", Opaque, "", false},
			3: {"Package URI", String, "", false}, 4: {"Install", Execute, "", false}, 5: {"Checkpoint", ObjectLink, "", false},
			6: {"Uninstall", Execute, "", false}, 7: {"Update State", Integer, "", false}, 8: {"Update Supported Objects", Boolean, "", false},
			9: {"Update Result", Integer, "", false}, 10: {"Activate", Execute, "", false}, 11: {"Deactivate", Execute, "", false},
			12: {"Activation State", Boolean, "", false}, 13: {"Package Settings", ObjectLink, "", false}, 14: {"User Name", String, "", false},
			15: {"Password", String, "", false},
		}},
		10: {"Cellular Connectivity", nil},
		11: {"APN Connection Profile", nil},
		16: {"Portfolio", nil},
		19: {"BinaryAppDataContainer", map[uint16]Resource{
			0: {"Data", Opaque, "", true}, 1: {"Data Priority", Integer, "", false}, 2: {"Data Creation Time", Time, "", false},
			3: {"Data Description", String, "", false}, 4: {"Data Format", String, "", false}, 5: {"App ID", Integer, "", false},
		}},
		20: {"Event Log", nil},
		21: {"LWM2M OSCORE", nil},
		25: {"LwM2M Gateway", map[uint16]Resource{
			0: {"Device ID", String, "", false}, 1: {"Prefix", String, "", false}, 3: {"IoT Device Objects", CoreLink, "", false},
		}},

		3200: {"Digital Input", nil}, 3201: {"Digital Output", nil}, 3202: {"Analog Input", nil}, 3203: {"Analog Output", nil},
		3300: {"Generic Sensor", nil}, 3301: {"Illuminance", nil}, 3302: {"Presence", nil}, 3303: {"Temperature", nil},
		3304: {"Humidity", nil}, 3305: {"Power Measurement", nil}, 3306: {"Actuation", nil}, 3308: {"Set Point", nil},
		3310: {"Load Control", nil}, 3311: {"Light Control", nil}, 3312: {"Power Control", nil}, 3313: {"Accelerometer", nil},
		3314: {"Magnetometer", nil}, 3315: {"Barometer", nil}, 3316: {"Voltage", nil}, 3317: {"Current", nil}, 3318: {"Frequency", nil},
		3319: {"Depth", nil}, 3320: {"Percentage", nil}, 3321: {"Altitude", nil}, 3322: {"Load", nil}, 3323: {"Pressure", nil},
		3324: {"Loudness", nil}, 3325: {"Concentration", nil}, 3326: {"Acidity", nil}, 3327: {"Conductivity", nil}, 3328: {"Power", nil},
		3329: {"Power Factor", nil}, 3330: {"Distance", nil}, 3331: {"Energy", nil}, 3332: {"Direction", nil}, 3333: {"Time", nil},
		3334: {"Gyrometer", nil}, 3335: {"Colour", nil}, 3336: {"Location", nil}, 3337: {"Positioner", nil}, 3338: {"Buzzer", nil},
		3339: {"Audio Clip", nil}, 3340: {"Timer", nil}, 3341: {"Addressable Text Display", nil}, 3342: {"On/Off switch", nil},
		3343: {"Dimmer", nil}, 3344: {"Up/Down Control", nil}, 3345: {"Multiple Axis Joystick", nil}, 3346: {"Rate", nil},
		3347: {"Push button", nil}, 3348: {"Multi-state Selector", nil}, 3349: {"Bitmap", nil}, 3350: {"Stopwatch", nil},
	}
})
