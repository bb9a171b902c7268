package route

import "strings"

// Sentence returns the English sentence for a code, its detail or "", and the
// values of its {places}.
func Sentence(code, detail string, args map[string]string) string {
	return fill(english(code, detail).message, args)
}

// words are what a person reads about a code.
type words struct {
	heading string // above message on a page; "": the status in words
	message string
	link    string // the text of the link, where the error has one
}

func fill(text string, args map[string]string) string {
	pairs := make([]string, 0, 2*len(args))
	for name, value := range args {
		pairs = append(pairs, "{"+name+"}", value)
	}
	return strings.NewReplacer(pairs...).Replace(text)
}

// english is the one table of sentences.
func english(code, detail string) words {
	if detail != "" {
		code += "." + detail
	}
	switch code {
	case "not_found":
		return words{message: "There is nothing at this address.", link: "Your account at {host}"}
	case "not_found.delegating":
		return words{message: "People of {host} sign in at {authority}.", link: "Go to {authority}"}
	case "not_found.disabled":
		return words{message: "Sign-in is switched off at {host}."}
	case "method_not_allowed":
		return words{message: "This address does not take {method} requests."}
	case "no_service_worker":
		return words{message: "No service worker may be made of this."}
	case "cross_origin":
		return words{message: "This request came from a page of another website, so it was refused."}
	case "too_large":
		return words{message: "This request is too large."}
	case "not_a_form":
		return words{message: "This address takes forms only (application/x-www-form-urlencoded)."}
	case "bad_request.form":
		return words{message: "This form cannot be read."}
	case "bad_request.field_twice":
		return words{message: "This form has a field twice."}
	case "not_json":
		return words{message: "This address takes application/json only."}
	case "bad_request.body":
		return words{message: "The request could not be read."}

	case "keys_not_ready":
		return words{heading: "Not ready yet", message: "The keys of this identity provider are not ready yet. Try again in a few seconds."}
	case "sessions_unavailable":
		return words{heading: "Temporarily unavailable", message: "Who is signed in cannot be checked at the moment. Try again in a few seconds."}
	case "directory_unavailable":
		return words{
			heading: "The directory cannot be reached",
			message: "The directory of {host}, which knows who may sign in, cannot be reached at the moment. Nothing is wrong with your account or password. Try again in a few minutes.",
			link:    "Try again",
		}

	case "bad_address":
		return words{heading: "Not an e-mail address", message: "You were sent here for “{address}”, which is not an e-mail address that can be confirmed. Go back and type it again."}
	case "empty":
		return words{message: "Type your user name and your password."}
	case "wrong":
		// The one sentence for every refusal whose cause may not be told: it
		// does not tell unknown names from wrong passwords.
		return words{message: "The user name or the password is wrong."}
	case "no_address":
		return words{message: "You have no e-mail address that {host} can confirm, so there is nothing to sign in for. Ask your administrator."}
	case "must_change":
		return words{message: "Your password has to be changed before you can sign in. Change it where you usually do, then come back."}
	case "expired":
		return words{message: "Your account or its password has expired. Ask your administrator."}
	case "locked":
		return words{message: "Your account is locked. Ask your administrator."}
	case "not_allowed":
		return words{message: "Your account may not sign in here. Ask your administrator."}
	case "throttled":
		return words{message: "Too many attempts failed. Wait {minutes} minutes, then try again."}
	case "throttled.minute":
		return words{message: "Too many attempts failed. Wait a minute, then try again."}

	case "bad_request.object":
		return words{message: "The request is not the JSON object that is expected."}
	case "bad_request.members":
		return words{message: "The request lacks email or public_key."}
	case "bad_duration":
		return words{message: "The duration is not a whole number of seconds."}
	case "bad_key":
		return words{message: "This public key cannot be certified."}
	case "not_signed_in":
		return words{message: "You are not signed in."}
	case "not_your_address":
		return words{message: "This address is not among yours."}
	case "too_many_lookups":
		return words{message: "Too many domains were looked up from here. Wait a minute, then try again."}
	}
	return words{message: "Something went wrong here. The error has been logged."}
}
