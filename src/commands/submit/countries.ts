/**
 * Countries as shops write them, to ISO 3166-1 alpha-2. The names are those of the UCI "Online Retail" data set, which
 * gave the columns their names. ISO has no code for the Channel Islands together: their larger part, Jersey, stands for
 * both. Names that are no country ("Unspecified", "European Community") are left out on purpose.
 */
const codes: Readonly<Record<string, string>> = {
  australia: 'AU',
  austria: 'AT',
  bahrain: 'BH',
  belgium: 'BE',
  brazil: 'BR',
  canada: 'CA',
  'channel islands': 'JE',
  cyprus: 'CY',
  'czech republic': 'CZ',
  denmark: 'DK',
  eire: 'IE',
  finland: 'FI',
  france: 'FR',
  germany: 'DE',
  greece: 'GR',
  'hong kong': 'HK',
  iceland: 'IS',
  ireland: 'IE',
  israel: 'IL',
  italy: 'IT',
  japan: 'JP',
  lebanon: 'LB',
  lithuania: 'LT',
  malta: 'MT',
  netherlands: 'NL',
  norway: 'NO',
  poland: 'PL',
  portugal: 'PT',
  rsa: 'ZA',
  'saudi arabia': 'SA',
  singapore: 'SG',
  spain: 'ES',
  sweden: 'SE',
  switzerland: 'CH',
  'united arab emirates': 'AE',
  'united kingdom': 'GB',
  usa: 'US',
};

/** The ISO code of a country's name, or of a code itself ("GB"); undefined if it is not known here. */
export function countryCode(name: string): string | undefined {
  if (/^[A-Z]{2}$/.test(name)) return name;
  return Object.hasOwn(codes, name.toLowerCase()) ? codes[name.toLowerCase()] : undefined;
}
