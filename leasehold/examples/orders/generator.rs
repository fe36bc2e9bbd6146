//! Makes the orders of `orders.csv`: the same seed, the same file.

use std::fmt::Write as _;

/// The content of `orders.csv`.
pub(crate) fn csv() -> String {
    let mut random = fastrand::Rng::with_seed(SEED);
    let mut seconds = 6 * 3_600;
    let mut csv = String::from("order_id,customer,country,currency,amount_cents,placed_at\n");
    for number in 1..=ORDERS {
        // Six minutes on average: 3,000 orders take less than two weeks and stay within January.
        seconds += random.u64(20..720);
        let (country, currency, first, last) = COUNTRIES[random.usize(..COUNTRIES.len())];
        let customer = format!("{} {}", pick(&mut random, first), pick(&mut random, last));
        let amount = amount(&mut random);
        let (day, second) = (2 + seconds / 86_400, seconds % 86_400);
        let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
        writeln!(
            csv,
            "ORD-2026-{number:06},{customer},{country},{currency},{amount},\
             2026-01-{day:02}T{hour:02}:{minute:02}:{second:02}Z"
        )
        .expect("BUG: writing to a String cannot fail");
    }
    csv
}

fn pick<'a>(random: &mut fastrand::Rng, words: &'a str) -> &'a str {
    let words: Vec<_> = words.split(' ').collect();
    words[random.usize(..words.len())]
}

/// Mostly small baskets, now and then a big one; many prices end in 99.
fn amount(random: &mut fastrand::Rng) -> u64 {
    let units = match random.u8(..10) {
        0..6 => random.u64(5..60),
        6..9 => random.u64(60..300),
        _ => random.u64(300..2_500),
    };
    let cents = [0, 49, 50, 95, 99, 99, 99][random.usize(..7)];
    units * 100 + cents
}

const SEED: u64 = 20_260_101;
const ORDERS: u32 = 3_000;

/// Country, currency, first names, last names.
const COUNTRIES: [(&str, &str, &str, &str); 8] = [
    ("AT", "EUR", "Anna Lukas Theresa Florian Magdalena", "Gruber Huber Wagner Pichler Moser"),
    ("CH", "CHF", "Urs Nina Beat Luca Seraina", "Keller Meier Baumann Frei Brunner"),
    ("DE", "EUR", "Jürgen Mia Felix Hannah Zoë Paul", "Schröder Brandt Yilmaz Krüger Vogel Lang"),
    ("ES", "EUR", "Lucía Hugo Carmen Pablo Inés", "García Navarro Ibáñez Romero Vidal"),
    ("FR", "EUR", "Chloé Louis Manon Hugo Aïcha", "Lefèvre Moreau Girard Dupont Benali"),
    ("GB", "GBP", "Oliver Amelia Harry Priya Callum", "O'Neill Hughes Patel Fletcher Ward"),
    ("IE", "EUR", "Aoife Seán Ciara Conor Niamh", "Murphy Byrne Kavanagh Doyle Nolan"),
    ("US", "USD", "Emma Liam Sofia Noah Grace", "Johnson Ramirez Nguyen Miller Carter"),
];
