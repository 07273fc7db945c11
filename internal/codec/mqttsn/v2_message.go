package mqttsn

func parseV2(t Type, body []byte, o *Options) (Message, error) {
	switch t {
	case TypeConnectV2:
		return message(ParseConnectV2(body, o))
	case TypeConnackV2:
		return message(ParseConnackV2(body, o))
	case TypePublishV2:
		return message(ParsePublishV2(body, o))
	case TypePubackV2:
		return message(ParsePubackV2(body, o))
	case TypePubrecV2:
		return message(ParsePubrecV2(body, o))
	case TypePubrelV2:
		return message(ParsePubrelV2(body, o))
	case TypePubcompV2:
		return message(ParsePubcompV2(body, o))
	case TypeSubscribeV2:
		return message(ParseSubscribeV2(body, o))
	case TypeSubackV2:
		return message(ParseSubackV2(body, o))
	case TypeUnsubscribeV2:
		return message(ParseUnsubscribeV2(body, o))
	case TypeUnsubackV2:
		return message(ParseUnsubackV2(body, o))
	case TypePingreqV2:
		return message(ParsePingreqV2(body, o))
	case TypePingrespV2:
		return message(ParsePingrespV2(body, o))
	case TypeDisconnectV2:
		return message(ParseDisconnectV2(body, o))
	case TypeAuthV2:
		return message(ParseAuthV2(body, o))
	case TypeRegisterV2:
		return message(ParseRegisterV2(body, o))
	case TypeRegackV2:
		return message(ParseRegackV2(body, o))
	case TypePubwosV2:
		return message(ParsePubwosV2(body, o))
	case TypeSleepreqV2:
		return message(ParseSleepreqV2(body, o))
	case TypeSleeprespV2:
		return message(ParseSleeprespV2(body, o))
	case TypeWakeupV2:
		return message(ParseWakeupV2(body, o))
	case TypeAdvertiseV2:
		return message(ParseAdvertiseV2(body, o))
	case TypeSearchGWV2:
		return message(ParseSearchGWV2(body, o))
	case TypeGWInfoV2:
		return message(ParseGWInfoV2(body, o))
	case TypeForwardedV2:
		return message(ParseForwardedV2(body, o))
	case TypeRoamingV2:
		return message(ParseRoamingV2(body, o))
	default: // Parse refuses the others
		return message(ParseProtectedV2(body, o))
	}
}
