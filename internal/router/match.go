package router

import "strings"

// Match reports whether a valid topic filter without a share name matches a
// valid topic name. It allocates nothing and needs no Tree, for one-off
// questions such as an access rule. Filters that begin with a wildcard do not
// match names that begin with "$". // [MQTT-4.7.2-1]
func Match(filter, topic string) bool {
	if strings.HasPrefix(topic, "$") && (strings.HasPrefix(filter, "+") || strings.HasPrefix(filter, "#")) {
		return false
	}
	for {
		f, frest, fmore := strings.Cut(filter, "/")
		if f == "#" {
			return true
		}
		t, trest, tmore := strings.Cut(topic, "/")
		if f != "+" && f != t {
			return false
		}
		if !tmore { // "a/#" matches "a" as well. // MQTT 5.0 §4.7.1.2
			return !fmore || frest == "#"
		}
		if !fmore {
			return false
		}
		filter, topic = frest, trest
	}
}
