package exproto

import (
	"errors"
	"fmt"
	"strings"

	"github.com/iotctl/iotctl/internal/router"
)

// checkMountpoint refuses what cannot be the beginning of a topic name.
func checkMountpoint(mp string) error {
	plain := placeholders("x", "x").Replace(mp)
	switch {
	case mp == "":
		return nil
	case strings.Contains(plain, "${"):
		return errors.New("only ${clientid} and ${username} stand for something")
	case strings.HasPrefix(plain, "$"):
		return errors.New("topics that begin with $ are the broker's own")
	}
	return router.ValidateName(plain + "x")
}

func placeholders(clientID, username string) *strings.Replacer {
	return strings.NewReplacer("${clientid}", clientID, "${username}", username, "%c", clientID, "%u", username)
}

// mountpoint fills in who the device is. What would change the levels of its
// topics is refused.
func mountpoint(mp, clientID, username string) (string, error) {
	for _, p := range []struct{ names, value string }{
		{"${clientid} %c", clientID},
		{"${username} %u", username},
	} {
		for name := range strings.FieldsSeq(p.names) {
			if strings.Contains(mp, name) && (p.value == "" || strings.ContainsAny(p.value, "/+#\x00")) {
				return "", fmt.Errorf("mountpoint: %q cannot stand for %s: it is no topic level", p.value, name)
			}
		}
	}
	mp = placeholders(clientID, username).Replace(mp)
	return mp, checkMountpoint(mp)
}

// mount is the topic filter of a device below its mountpoint.
func mount(mp, filter string) (string, error) {
	group, inner, shared, err := router.SplitShared(filter)
	if err != nil {
		return "", err
	}
	if shared {
		return "$share/" + group + "/" + mp + inner, nil
	}
	return mp + filter, nil
}
