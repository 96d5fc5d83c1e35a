// Ask again, by itself, for the model's answer to a picture that is still being read.
const form = document.getElementById("again");
if (form) setTimeout(() => form.submit(), 1000);
